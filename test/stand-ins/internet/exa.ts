/**
 * Plays api.exa.ai: its search and its reading of pages.
 *
 * Each key (header x-api-key) is answered with the status that it has here; one that isn't known gets the 401 that Exa has for it.
 *
 * The web is what the test publishes: POST /pages on port 8000, {"url", "title", "text"}. A search gives the pages that have a word of
 * four letters or more in common with the query, each with its text as the one excerpt; /contents gives the text of the page. Each keeps
 * to numResults and maxCharacters. GET /calls gives each request as {"path", "body"}, DELETE /calls forgets them.
 *
 * Failures that it plays: a wrong key (401), any status for a key; a page that isn't there or can't be read, as a status of its own beside
 * a 200 ({"url", "tag"} in POST /pages); and those of POST /faults, {"status", "seconds", "bytes"}: until the next one, or {}, each
 * request is refused with that status in Exa's form, waits so long, or gets an answer of so many bytes.
 *
 * What it does not imitate: a ranking, excerpts that are chosen by the query, a live crawl and its time-out, credit and budgets that are
 * used up (402 comes when a test says so), limits of its own (429 likewise), the prices in `costDollars`, every other endpoint and
 * every parameter that private_hermes/web.py and ops/exa.ts don't send.
 *
 * Read at exa.ai/docs (reference/search, reference/get-contents, admin/error-codes, changelog/contents-endpoint-status-changes,
 * search/highlights) and, for the names of parameters and of the fields of an answer, in the package exa-py 2.28.0.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { Exchange, Host } from "./serving.ts";

/** In Exa's own words (exa.ai/docs/admin/error-codes); a 429 has the sentence alone. */
const tags: Record<number, string> = {
    400: "INVALID_REQUEST_BODY",
    401: "INVALID_API_KEY",
    402: "NO_MORE_CREDITS",
    403: "ACCESS_DENIED",
    500: "INTERNAL_ERROR",
    503: "SERVICE_OVERLOADED",
};

interface Page {
    url: string;
    title?: string;
    text?: string;
    tag?: string;
}

interface Search {
    query: string;
    numResults?: number;
    contents?: { highlights?: boolean | { maxCharacters?: number } };
}

interface Contents {
    urls: string[];
    text?: { maxCharacters?: number };
}

const words = (text: string): string[] => text.toLowerCase().match(/[\p{L}\p{N}_]{4,}/gu) ?? [];

export class Exa implements Host {
    /** Status by key. */
    keys: Record<string, number>;
    private readonly pages = new Map<string, Page>();
    private calls: { path: string; body: unknown }[] = [];
    private fault: { status?: number; seconds?: number; bytes?: number } = {};

    constructor(keys: Record<string, number>) {
        this.keys = keys;
    }

    async answer(exchange: Exchange): Promise<void> {
        const body = await exchange.json<Search & Contents>();
        this.calls.push({ path: exchange.url.pathname, body });
        const key = String(exchange.request.headers["x-api-key"]);
        const { status = 200, seconds = 0, bytes } = this.fault;
        const worth = (this.keys as Partial<typeof this.keys>)[key] ?? 401;
        const refuse = (code: number) => {
            const more = code === 429 ? {} : { requestId: "request-1", tag: tags[code] ?? "UNKNOWN" };
            exchange.send(code, { ...more, error: `Refused with the key ${key}` });
        };
        if (worth !== 200) {
            refuse(worth);
            return;
        }
        await sleep(seconds * 1000);
        if (status !== 200) refuse(status);
        else if (bytes) exchange.send(200, { results: [], padding: "x".repeat(bytes) });
        else if (exchange.asked === "POST /search") exchange.send(200, { requestId: "request-1", ...this.search(body) });
        else if (exchange.asked === "POST /contents") exchange.send(200, { requestId: "request-1", ...this.contents(body) });
        else exchange.send(404, { error: "Not Found" });
    }

    private search({ query, numResults = 10, contents: { highlights } = {} }: Search): object {
        const wanted = words(query);
        const found = [...this.pages.values()].filter(({ title = "", text = "" }) => words(`${title} ${text}`).some((word) => wanted.includes(word)));
        const limit = typeof highlights === "object" ? highlights.maxCharacters : undefined;
        const results = found.slice(0, numResults).map(({ url, title, text = "" }) => ({
            ...{ id: url, url, title, publishedDate: null, author: null },
            ...(highlights && { highlights: [text.slice(0, limit)], highlightScores: [0.5] }),
        }));
        return { results };
    }

    private contents({ urls, text: wanted }: Contents): object {
        const pages = urls.map((url): Page => this.pages.get(url) ?? { url, tag: "CRAWL_NOT_FOUND" });
        const statuses = pages.map(({ url, tag }) =>
            tag ? { id: url, status: "error", error: { tag, httpStatusCode: 404 } } : { id: url, status: "success", source: "cached" },
        );
        // Exa answers under the address at which it found the page.
        const results = pages
            .filter(({ tag }) => !tag)
            .map(({ url, title, text = "" }) => ({ id: `${url}#found`, url: `${url}#found`, title, text: text.slice(0, wanted?.maxCharacters) }));
        return { results, statuses };
    }

    async inside(exchange: Exchange): Promise<void> {
        if (exchange.asked === "GET /calls") {
            exchange.send(200, this.calls);
            return;
        }
        if (exchange.asked === "DELETE /calls") this.calls = [];
        else if (exchange.asked === "POST /faults") this.fault = await exchange.json();
        else if (exchange.asked === "POST /pages") {
            const page = await exchange.json<Page>();
            this.pages.set(page.url, page);
        } else {
            exchange.send(404, {});
            return;
        }
        exchange.send(200, {});
    }
}
