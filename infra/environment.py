"""How large the environments of the functions become."""

from nightlane.settings import Settings

from .resources import MALLOC_ENVIRONMENT, functions

# https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
MAX_ENVIRONMENT_BYTES = 4_096
# CloudFormation generates the names that these values end with: at most this long.
_GENERATED_BYTES = {"queue_url": 140, "table_name": 100, "bucket_name": 63}


def environment_of(settings: Settings, function: str, stack_name: str) -> dict[str, str]:
    """Return the environment variables of a function."""
    (spec,) = (each for each in functions(settings) if each.name == function)
    own = spec.settings.of(settings).to_environment()
    return own | MALLOC_ENVIRONMENT | {"POWERTOOLS_SERVICE_NAME": stack_name}


def environment_bytes(settings: Settings, stack_name: str) -> tuple[str, int]:
    """Return the function with the largest environment, and how many bytes of UTF-8 that has at most."""
    generated = {
        name: "x" * size
        for name in Settings.model_fields
        for suffix, size in _GENERATED_BYTES.items()
        if name.endswith(suffix)
    }
    filled = settings.model_copy(update=generated)
    sizes = {
        each.name: sum(
            len(name.encode()) + len(value.encode())
            for name, value in environment_of(filled, each.name, stack_name).items()
        )
        for each in functions(settings)
    }
    largest = max(sizes, key=lambda name: sizes[name])
    return largest, sizes[largest]
