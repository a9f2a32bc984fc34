/** `npm run preflight` and `npm run verify`, run as a user runs them. */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import type { Line } from "../../ops/report.ts";

const execute = promisify(execFile);

export interface Report {
    code: number;
    /** Status of each check by its name; of several of one name, that of the last. */
    statuses: Record<string, Line["status"]>;
    line: (check: string) => string;
}

/** Keeps it from the internet; Modal isn't asked by `fetch`. */
const local = {
    NODE_OPTIONS: `--import=${new URL("loopback-only.mjs", import.meta.url).href}`,
    MODAL_SERVER_URL: "http://127.0.0.1:1",
};

/** Runs one of them in a checkout of this project, with further options. */
export async function runChecks(command: "preflight" | "verify", cwd: string, environment: NodeJS.ProcessEnv, ...options: string[]): Promise<Report> {
    const env = { ...environment, ...local };
    const args = ["run", "--silent", command, "--", "--json", ...options];
    const ended = (await execute("npm", args, { cwd, env }).catch((error: unknown) => error)) as { code?: number; stdout: string; stderr: string };
    let checks: Line[];
    try {
        ({ checks } = JSON.parse(ended.stdout) as { checks: Line[] });
    } catch {
        throw new Error(`npm run ${command} printed no report: ${ended.stdout}${ended.stderr}`);
    }
    return {
        code: ended.code ?? 0,
        statuses: Object.fromEntries(checks.map(({ check, status }) => [check, status])),
        line: (name) =>
            checks
                .filter(({ check }) => check === name)
                .map(({ status, message, fix }) => `${status}: ${message}${fix ? `: ${fix}` : ""}`)
                .join("\n"),
    };
}
