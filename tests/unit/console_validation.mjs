// Validates inputs with the console's own module: each line of stdin is a request, each line of stdout its report.
import { createInterface } from "node:readline";
import { findEndpoint, validateFile } from "../../functions/api/console/validate.js";

for await (const text of createInterface({ input: process.stdin })) {
  const { data, endpoint, limits } = JSON.parse(text);
  const file = new Blob([Buffer.from(data, "base64")]);
  const report = await validateFile(file, endpoint, limits);
  const { lines, bytes, tokens, errors, counts } = report;
  const found = await findEndpoint(file, limits);
  console.log(JSON.stringify({ lines, bytes, tokens, errors, counts: [...counts], models: [...report.models.values()], found }));
}
