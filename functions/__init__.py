"""The Lambda functions, one folder each."""

import gc

# What imports make is not garbage, and looking for some takes an eighth of a cold start. `on_aws`, at the end
# of each handler, turns it on again.
gc.disable()
