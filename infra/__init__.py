"""Where Nightlane lives: on AWS (`deploy`), or on one machine (`home`); and its command (`cli`)."""
