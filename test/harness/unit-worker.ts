/** Before each file of unit tests, where it runs. */
import { createRequire } from "node:module";

// Of Pulumi's SDK what nobody here calls: it drives the CLI, and turns functions into text. It brings npm and TypeScript along, which
// take as long to load as all else of a file. A call of it would fail, for nothing is in its place.
const require = createRequire(import.meta.url);
for (const name of ["automation/index", "runtime/closure/codePaths", "runtime/closure/serializeClosure"]) {
    const path = require.resolve(`@pulumi/pulumi/${name}.js`);
    require.cache[path] = Object.assign(Object.create(null) as NodeJS.Module, { id: path, filename: path, loaded: true, exports: {} });
}
