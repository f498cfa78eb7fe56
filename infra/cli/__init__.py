"""The command `nightlane`."""
