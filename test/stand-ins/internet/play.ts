/**
 * Plays a host of the internet for the container tests, over TLS on port 443 of a private network: `node play.ts HOST`.
 *
 * Its certificate lies in /ca, see authority.sh. Hermes, told to trust that authority, runs with the very configuration that it has in
 * production. Port 8000, where tests tell and ask the stand-in, answers on loopback only: it is for `docker exec`.
 *
 * Environment: TELEGRAM_BOT_TOKEN, EXA_API_KEY, the one that is taken, each for its host; see bucket.ts for its own.
 */
import { Bucket } from "./bucket.ts";
import { Exa } from "./exa.ts";
import { OpenRouter } from "./openrouter.ts";
import { type Host, listen, serve } from "./serving.ts";
import { Telegram } from "./telegram.ts";

const { EXA_API_KEY: exaKey = "", TELEGRAM_BOT_TOKEN: botToken = "" } = process.env;

const hosts: Record<string, () => Host | Promise<Host>> = {
    "openrouter.ai": () => {
        const openRouter = new OpenRouter({
            anyKey: true,
            models: [{ id: "openai/gpt-5.5" }, { id: "hermes-agent" }, { id: "vendor/short", context_length: 128_000 }],
        });
        // In Hermes' place it shows what Open WebUI sends.
        listen(8642, "0.0.0.0", (exchange) => openRouter.answer(exchange));
        return openRouter;
    },
    "bucket.example.com": () => Bucket.open(process.env),
    "api.exa.ai": () => new Exa({ [exaKey]: 200 }),
    "api.telegram.org": () => new Telegram({ [botToken]: { username: "private_hermes_bot", users: [] } }),
};

const [name] = process.argv.slice(2);
serve(name, await hosts[name]());
