"""Copies of the result files below the batch's `output_prefix`, made before the batch becomes terminal."""

from collections.abc import Sequence

from nightlane.domain.batch import Batch
from nightlane.domain.file import StoredFile
from nightlane.domain.ports import Ports
from nightlane.domain.s3_locations import LocationUnavailable, find_output
from nightlane.s3_settings import S3OutputSettings


def copy_results(ports: Ports[S3OutputSettings], batch: Batch, files: Sequence[StoredFile]) -> None:
    """Copy the result files. If a location is not available, record why: the batch must end all the same.

    An assembler that was replaced can neither copy, because its files were deleted, nor record anything.
    """
    if batch.request.output_prefix is None:
        return
    problem = None
    try:
        for file in files:
            _copy(ports, batch, batch.request.output_prefix, file)
    except LocationUnavailable as error:
        problem = f"The results were not copied: {error}."
        ports.log("results not copied", batch_id=batch.id, error=str(error))
    if problem != batch.output_problem:
        ports.batches.note_output_problem(batch, problem)


def _copy(ports: Ports[S3OutputSettings], batch: Batch, prefix: str, file: StoredFile) -> None:
    target = find_output(ports.settings, batch.tenant, prefix, file.filename)
    if target is None or ports.s3 is None:
        raise LocationUnavailable("the operator does not allow this prefix any more")
    ports.s3.copy_out(file.blob_key, target)
