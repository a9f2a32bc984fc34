import { fileURLToPath } from "node:url";
import { includeIgnoreFile } from "eslint/config";
import tseslint from "typescript-eslint";

export default tseslint.config(
    includeIgnoreFile(fileURLToPath(new URL(".gitignore", import.meta.url))),
    { ignores: ["sdks/", "**/*.mjs"] },
    tseslint.configs.strictTypeChecked,
    // The one that includes everything: each further project is a program of its own, and seconds.
    { languageOptions: { parserOptions: { project: "test/tsconfig.json", tsconfigRootDir: import.meta.dirname } } },
    {
        rules: {
            // Numbers print well in template strings.
            "@typescript-eslint/restrict-template-expressions": ["error", { allowNumber: true }],
        },
    },
);
