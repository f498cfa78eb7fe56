"""The CDK app's constructs, by concern; `stack` puts them together."""
