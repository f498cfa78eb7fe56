"""The console in a real browser, see docs/console.md."""
