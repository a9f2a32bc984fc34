import { fileURLToPath } from "node:url";
import { includeIgnoreFile } from "eslint/config";
import tseslint from "typescript-eslint";

/** In these files nothing may be imported whose path this expression fits. */
const refuse = (files, regex, message) => ({ files, rules: { "no-restricted-imports": ["error", { patterns: [{ regex, message }] }] } });

export default tseslint.config(
    includeIgnoreFile(fileURLToPath(new URL(".gitignore", import.meta.url))),
    { ignores: ["sdks/", "**/*.mjs", "eslint.config.js"] },
    tseslint.configs.strictTypeChecked,
    { languageOptions: { parserOptions: { project: "tsconfig.json", tsconfigRootDir: import.meta.dirname } } },
    {
        rules: {
            // Numbers print well in template strings.
            "@typescript-eslint/restrict-template-expressions": ["error", { allowNumber: true }],
        },
    },
    // Imports run one way: tests, harness, stand-ins; ops, config.ts. Nothing in the product knows a test.
    refuse(["*.ts"], "^\\./(ops|test)/", "The program knows neither its commands nor its tests."),
    refuse(["ops/*.ts"], "^\\.\\./(?!config\\.ts$)", "Of the program the commands know config.ts alone."),
    refuse(["test/stand-ins/**"], "/(harness|unit|containers|rehearsal|bench|ops)/", "A stand-in knows nobody that it is used by."),
    refuse(["test/harness/**"], "/(unit|containers|rehearsal|bench)/", "The harness knows no test."),
    refuse(["test/{unit,containers,rehearsal,bench}/**"], "\\.test\\.ts$|/(unit|containers|rehearsal|bench)/", "A test knows no other test."),
);
