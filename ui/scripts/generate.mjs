/** Writes src/api/schema.d.ts from the server's OpenAPI. PYTHON chooses the interpreter that has osmia installed. */
import { execFileSync } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import openapiTS, { astToString } from 'openapi-typescript';

const local = fileURLToPath(new URL('../../.venv/bin/python', import.meta.url));
const python = process.env.PYTHON ?? (existsSync(local) ? local : 'python3');
const document = execFileSync(python, ['-m', 'osmia.server.openapi'], { encoding: 'utf8', maxBuffer: 32 * 2 ** 20 });
const types = astToString(await openapiTS(document, { immutable: false }));
const target = fileURLToPath(new URL('../src/api/schema.d.ts', import.meta.url));
writeFileSync(target, `/** Generated from the server's OpenAPI by \`npm run generate\`; not edited by hand. */\n\n${types}`);
