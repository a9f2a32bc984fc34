/** What the way out costs: both services without and with it, twice in turn, in one run. `npm run bench -- way-out`, on a machine that does nothing else. */
import { afterAll, beforeAll, test } from "vitest";
import type { ContainerSpec } from "../harness/docker.ts";
import { median } from "../harness/median.ts";
import { peaks, startOnPlans } from "../harness/memory.ts";
import { type ServiceName, serviceNames } from "../harness/settings.ts";
import { Testbed } from "../harness/testbed.ts";
import { buildWithout } from "../harness/without.ts";
import { used } from "./stack.ts";

type Images = Partial<Record<ServiceName, ContainerSpec["image"]>>;
const figures = new Map<string, Record<string, string>>();
let without: Images;

beforeAll(async () => {
    without = await buildWithout();
});
afterAll(() => {
    console.table(Object.fromEntries(figures));
});

for (const round of [1, 2]) {
    for (const kind of ["without", "with"] as const) {
        test(`${kind} the way out, round ${round}`, async () => {
            const note = (figure: string, ...values: number[]) => {
                const text = values.map((value) => value.toFixed(value < 10 ? 2 : 0)).join(", ");
                figures.set(figure, { ...figures.get(figure), [`${kind} ${round}`]: text });
            };
            const testbed = await Testbed.create();
            try {
                for (const name of serviceNames) testbed.useImage(name, kind === "without" ? without[name] : undefined);
                const began = performance.now();
                const [hermes, openWebUi, laptop] = await startOnPlans(testbed);
                const both = [hermes, openWebUi];
                note("both up and the laptop joined, s", (performance.now() - began) / 1000);
                note("start, s of CPU: Hermes, Open WebUI", ...(await Promise.all(both.map(used))));
                const { token } = await testbed.signIn();
                const tokens = await testbed.addAccounts(token, 40);
                await testbed.ask("Are you awake?"); // the first chat after a start takes some seconds more
                for (const chats of [1, 8, 40]) {
                    const before = await Promise.all(both.map(used));
                    const load = laptop.chats({
                        url: testbed.url,
                        tokens,
                        model: testbed.environment("open-webui").DEFAULT_MODELS,
                        chats,
                        words: 200,
                        pace: "FAST",
                    });
                    const needed = await peaks(both, load);
                    const after = await Promise.all(both.map(used));
                    const held = await load;
                    if (held.some(({ complete }) => !complete)) throw new Error(`${chats} chats: not all were answered in full`);
                    note(`${chats} chats: ms of CPU for an answer, Hermes, Open WebUI`, ...after.map((seconds, at) => ((seconds - before[at]) * 1000) / chats));
                    note(`${chats} chats: first word, s, median and most`, median(held.map(({ first }) => first)), Math.max(...held.map(({ first }) => first)));
                    note(`${chats} chats: last answer whole, s`, Math.max(...held.map(({ total }) => total)));
                    note(`${chats} chats: memory, MB, Hermes, Open WebUI`, ...needed);
                }
                const code = (file: string) => `print('MEDIA:${file}'); open('${file}', 'wb').write(bytes(${10 << 20}))`;
                const answers = Promise.all(
                    Array.from({ length: 8 }, (_, index) => testbed.sendFromPage(token, `Give it in your sandbox: ${code(`/root/file${index}`)}`)),
                );
                note("8 answers of 10 MB: memory, MB, Hermes, Open WebUI", ...(await peaks(both, answers)));
            } finally {
                await testbed.remove();
            }
        });
    }
}
