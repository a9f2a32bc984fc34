/** What somebody has the agent keep by one message, for test/stand-ins/laptop/week.py. */
import { words } from "./testbed.ts";

export function keepsakes(): { message: string; tea: string; skill: string; job: string } {
    const [tea, skill, job] = [words("Likes tea. <b>Really</b>"), words("brew").replace(" ", "-"), words("Brew tea")];
    const calls = {
        memory: { action: "add", target: "user", content: tea },
        skill_manage: { action: "create", name: skill, content: `---\nname: ${skill}\ndescription: Brews\n---\n\nSay meow.\n` },
        cronjob: { action: "create", name: "kettle", schedule: "every 1h", prompt: job },
    };
    const message = Object.entries(calls).map(([tool, parameters]) => `CALL ${tool} ${JSON.stringify(parameters)}`);
    return { message: message.join(" THEN "), tea, skill, job };
}
