"""Where Nightlane runs: on AWS (`deploy`) or on one machine (`home`); and its command line (`cli`)."""
