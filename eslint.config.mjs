import { fileURLToPath } from "node:url";
import { includeIgnoreFile } from "eslint/config";
import tseslint from "typescript-eslint";

export default tseslint.config(
    includeIgnoreFile(fileURLToPath(new URL(".gitignore", import.meta.url))),
    { ignores: ["sdks/", "*.mjs", "test/**/*.mjs"] },
    tseslint.configs.strictTypeChecked,
    { languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } } },
    {
        rules: {
            // Template strings print numbers here, and what is compared with undefined may come from a stack's file.
            "@typescript-eslint/restrict-template-expressions": ["error", { allowNumber: true }],
        },
    },
);
