"""What a client can do whose file is larger than one request may be."""

# Also part of a template of API Gateway, in which "$", "#" and "\\" have a meaning.
LARGE_FILE_WAYS = (
    "Send a larger file in parts with the Uploads API: client.uploads.upload_file_chunked(file=..., "
    "mime_type='application/jsonl', purpose='batch', part_size=4 * 1024 * 1024). Or use a presigned "
    "upload, or an s3:// URL as the input file."
)
