"""Where Nightlane lives: on AWS by CDK, or on one machine by `infra.local`."""
