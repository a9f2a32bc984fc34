/*
 * Keeps a person signed in, and what they have typed, whatever the network does.
 *
 * Open WebUI 0.12.4 drops the session when the first request fails in any way, says that a message failed and forgets it, and tells of a
 * lost connection for three seconds. Here the first requests are asked until the service answers, a message waits for the connection, or
 * for the next sign-in, and one line says so for as long as it is.
 *
 * build.py puts it into the head of the page: it has to be there before the page asks for anything.
 */
(() => {
    const plain = window.fetch.bind(window);
    const TEXTS = {}; // texts.json: page
    const SUGGESTIONS = {}; // texts.json: suggestions
    /** In ms: until a lost websocket is told of; for one try of a first request; between two looks at the service. */
    const [GRACE, PATIENCE, EVERY] = [2000, 20_000, 2000];
    /** Of messages that haven't reached the service, in localStorage; behind it is the message's id. */
    const UNSENT = "unsent-";

    /* Of a first load only what it needs: without a session that is the sign-in, a third of the page. The rest comes while somebody types. */

    const APP = []; // build.py: scripts of the first screen and of a chat
    const ahead = () => {
        for (const name of APP) document.head.append(Object.assign(document.createElement("link"), { rel: "modulepreload", href: `/_app/immutable/${name}` }));
    };
    if (localStorage.token) ahead();
    else addEventListener("load", () => setTimeout(ahead, 1000));
    if (!localStorage.token && !/^\/(auth|error|s|watch)(\/|$)/.test(location.pathname))
        history.replaceState(history.state, "", `/auth?redirect=${encodeURIComponent(location.pathname + location.search)}`);

    /** The page's language, if `texts` have it, and else English. */
    const languageOf = (texts) => {
        const wanted = [localStorage.locale, ...navigator.languages].filter(Boolean).flatMap((language) => [language, language.split("-")[0]]);
        return wanted.find((language) => language === "en" || texts[language]) ?? "en";
    };
    /** A sentence of texts.json. */
    window.say = (name, values = {}) => TEXTS[name][languageOf(TEXTS[name])].replaceAll(/\{(\w+)\}/g, (_, value) => values[value]);

    /** The headers of a request, with the page's language: what the service says by itself comes in it. */
    const inLanguage = (headers) => {
        const all = new Headers(headers);
        all.set("X-Page-Language", languageOf(TEXTS.offline));
        return all;
    };

    const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

    /* The line that says what is wrong. */

    const line = document.createElement("div");
    line.id = "connection";
    line.setAttribute("role", "status");
    line.style.cssText =
        "position:fixed;z-index:100000;top:0;left:50%;transform:translateX(-50%);max-width:min(36rem,calc(100vw - 1rem));width:max-content;" +
        "padding:.5rem .75rem;border-radius:0 0 .5rem .5rem;background:#fef3c7;color:#78350f;font:.8125rem/1.25rem system-ui,sans-serif;text-align:center";
    /** What is wrong, by who has noticed. */
    const troubles = new Map();
    const show = (who, trouble) => {
        if (trouble) troubles.set(who, trouble);
        else troubles.delete(who);
        const worst = ["unsent", "offline", "starting"].find((name) => [...troubles.values()].includes(name));
        document.documentElement.classList.toggle("disconnected", troubles.size > 0 && worst !== "unsent");
        line.textContent = worst ? window.say(worst) : "";
        if (worst) document.documentElement.append(line);
        else line.remove();
    };

    /** Gives what is wrong with the service at the moment; nothing if it answers. */
    const look = async () => {
        try {
            const { ok } = await plain("/health", { cache: "no-store", signal: AbortSignal.timeout(PATIENCE) });
            return ok ? undefined : "starting";
        } catch {
            return "offline";
        }
    };
    let looking;
    /** Resolves when the service answers. */
    const back = () =>
        (looking ??= (async () => {
            for (let trouble; (trouble = await look()); await pause(EVERY)) show("service", trouble);
            show("service");
            looking = undefined;
        })());

    /* A websocket that is gone for longer than a moment, and what the device says itself. */

    const sockets = new Set();
    let late, session;
    const lost = () => {
        clearTimeout(late);
        late = setTimeout(() => sockets.size === 0 && (show("socket", "offline"), back().then(() => sockets.size && show("socket"))), GRACE);
    };
    window.WebSocket = class extends WebSocket {
        constructor(...about) {
            super(...about);
            if (!new URL(this.url).pathname.startsWith("/ws/socket.io")) return;
            this.addEventListener("message", ({ data }) => {
                // Socket.IO's “connected”, with the id of the session.
                if (!String(data).startsWith("40{")) return;
                sockets.add(this);
                session = JSON.parse(data.slice(2)).sid;
                clearTimeout(late);
                show("socket");
                dispatchEvent(new Event("socket"));
            });
            this.addEventListener("close", () => sockets.delete(this) && lost());
        }
    };
    /** Resolves when there is a websocket, on which the answer comes; after a while all the same, for the service stores it as well. */
    const listening = () => sockets.size || Promise.race([new Promise((resolve) => addEventListener("socket", resolve, { once: true })), pause(10_000)]);
    addEventListener("offline", () => show("device", "offline"));
    addEventListener("online", () => {
        show("device");
        back();
    });

    /* The first requests. */

    /** Asks until there is an answer. Its body is read at once: a connection may break in the middle. */
    const untilAnswered = async (input, init, isAnswer) => {
        for (let wait = 500; ; wait = Math.min(2 * wait, 5000)) {
            try {
                const response = await plain(input, { ...init, signal: AbortSignal.timeout(PATIENCE) });
                const body = await response.arrayBuffer();
                if (isAnswer(response)) {
                    show("first");
                    return new Response(body, response);
                }
                show("first", "starting");
            } catch {
                show("first", "offline");
            }
            await back();
            await pause(wait);
        }
    };

    /* Messages that haven't reached the service, and drafts. */

    const asked = async (path, token) => (await plain(path, { headers: { Authorization: `Bearer ${token}` } })).json();
    /** Whose a token is; it is read by the service alone, and this only sorts. */
    const personOf = (token) => {
        try {
            return JSON.parse(atob(token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/"))).id;
        } catch {
            return undefined;
        }
    };
    /** The chat in which a message stands that may have arrived. A new one is among the newest. */
    const chatOf = async ({ message, chat }, token) => {
        const ids = chat ? [chat] : (await asked("/api/v1/chats/?page=1", token)).slice(0, 5).map(({ id }) => id);
        for (const id of ids) if ((await asked(`/api/v1/chats/${id}`, token))?.chat?.history?.messages?.[message.id]) return id;
        return undefined;
    };

    const send = async (input, init) => {
        let order;
        try {
            order = JSON.parse(init.body);
        } catch {
            return plain(input, init);
        }
        const message = order.user_message;
        const temporary = String(order.chat_id ?? "").startsWith("temporary:");
        if (!message) return plain(input, init);
        const kept = { person: personOf(localStorage.token ?? ""), chat: order.chat_id, message };
        const name = UNSENT + message.id;
        // What a temporary chat holds is nowhere but in its tab.
        if (!temporary) localStorage.setItem(name, JSON.stringify(kept));
        // As long as it waits here, no other tab takes it up.
        let letGo;
        const waiting = new Promise((resolve) => (letGo = resolve));
        navigator.locks?.request(name, () => waiting);
        try {
            for (;;) {
                if (troubles.size > 0 || !navigator.onLine) {
                    show("message", navigator.onLine ? "starting" : "offline");
                    await back();
                    await listening();
                    show("message");
                }
                let response;
                try {
                    // The service answers on the websocket of the session that is named, which may be another one than when this was written.
                    response = await plain(input, {
                        ...init,
                        body: JSON.stringify({ ...order, session_id: session ?? order.session_id }),
                    });
                } catch (error) {
                    if (init.signal?.aborted) throw error;
                }
                // The session is over: it waits for the next.
                if (response?.status === 401) return response;
                if (response && ![502, 503, 504].includes(response.status)) {
                    localStorage.removeItem(name);
                    return response;
                }
                show("message", response ? "starting" : "offline");
                await pause(500);
                await back();
                show("message");
                // Nobody can tell whether a temporary chat's has arrived, and no other one is to be sent twice.
                if (temporary) throw new TypeError(window.say("failed"));
                const arrived = await chatOf(kept, localStorage.token).catch(() => undefined);
                if (arrived) {
                    localStorage.removeItem(name);
                    location.assign(`/c/${arrived}`);
                    return new Promise(() => {});
                }
            }
        } finally {
            show("message");
            letGo();
        }
    };

    /** Puts what this person has written, and didn't get sent, into the field of its chat; nobody else's stays there. */
    const settle = async (person, token) => {
        if (sessionStorage.person && sessionStorage.person !== person)
            for (const name of Object.keys(sessionStorage)) if (name.startsWith("chat-input")) sessionStorage.removeItem(name);
        sessionStorage.person = person;
        const held = (await navigator.locks?.query())?.held.map(({ name }) => name) ?? [];
        for (const name of Object.keys(localStorage).filter((key) => key.startsWith(UNSENT) && !held.includes(key))) {
            const kept = JSON.parse(localStorage[name]);
            if (kept.person !== person) continue;
            if (!(await chatOf(kept, token))) {
                const field = `chat-input${kept.chat ? `-${kept.chat}` : ""}`;
                const draft = JSON.parse(sessionStorage[field] ?? "{}");
                const prompt = [kept.message.content, draft.prompt].filter(Boolean).join("\n\n");
                sessionStorage[field] = JSON.stringify({ ...draft, prompt, files: [...(kept.message.files ?? []), ...(draft.files ?? [])] });
                show("unsent", "unsent");
                setTimeout(() => show("unsent"), 15_000);
            }
            localStorage.removeItem(name);
        }
    };
    const settled = async (response) => {
        if (response.ok) {
            const { id, token, role } = await response.clone().json();
            window.person = { role, token: token ?? localStorage.token };
            dispatchEvent(new Event("person"));
            // Whatever keeps it from being looked for, the page comes; what is unsent stays for the next time.
            await settle(id, token ?? localStorage.token).catch(console.error);
        }
        return response;
    };

    /** Loads the page anew after a sign-in: nothing of whoever was there before is left in it, and the field finds its draft. */
    const signedIn = async (response) => {
        const { token } = response.ok ? await response.clone().json() : {};
        if (!token) return response;
        localStorage.token = token;
        const there = new URL(new URLSearchParams(location.search).get("redirect") ?? "/", location.origin);
        location.replace(there.origin === location.origin ? there.pathname + there.search : "/");
        return new Promise(() => {});
    };

    /* Reloading is the browser's: the page would have the last answer made anew, at the price of another. */

    const reloads = ({ ctrlKey, metaKey, altKey, key }) => (ctrlKey || metaKey) && !altKey && key.toLowerCase() === "r";
    addEventListener("keydown", (event) => reloads(event) && event.stopImmediatePropagation(), true);

    /* Signed out, or signed in as somebody else, in another tab. */

    addEventListener("storage", ({ key, oldValue, newValue }) => {
        if (key !== "token" || location.pathname === "/error") return;
        const there = location.pathname + location.search;
        // The page keeps a draft half a second after the last letter.
        if (!newValue && location.pathname !== "/auth") setTimeout(() => location.assign(`/auth?redirect=${encodeURIComponent(there)}`), 700);
        else if (newValue && (location.pathname === "/auth" || (oldValue && personOf(oldValue) !== personOf(newValue)))) location.reload();
    });

    /** What the first screen suggests, in the page's language. */
    const translated = async (response) => {
        const config = await response.json();
        config.default_prompt_suggestions = config.default_prompt_suggestions?.map((one) => {
            const texts = SUGGESTIONS[one.content] ?? {};
            return texts[languageOf(texts)] ?? one;
        });
        return Response.json(config);
    };

    window.fetch = async (input, init) => {
        const url = new URL(input instanceof Request ? input.url : input, location.href);
        if (url.origin === location.origin) {
            if (url.pathname.startsWith("/api/")) init = { ...init, headers: inLanguage(init?.headers ?? input.headers) };
            const request = `${(init?.method ?? input.method ?? "GET").toUpperCase()} ${url.pathname}`;
            if (request === "GET /api/config") return translated(await untilAnswered(input, init, ({ ok }) => ok));
            // Nobody has channels or notes here, and asking would be refused.
            if (request === "GET /api/v1/channels/") return Response.json([]);
            if (request === "GET /api/v1/notes/search") return Response.json({ items: [], total: 0 });
            if (request === "GET /api/v1/auths/") return settled(await untilAnswered(input, init, ({ ok, status }) => ok || status === 401 || status === 403));
            if (request === "POST /api/v1/auths/signin") return signedIn(await settled(await plain(input, init)));
            // Of a session that is over, where the page has dropped the token already: with an answer it would forget the drafts, too.
            if (request === "POST /api/v1/auths/signout" && !localStorage.token) return plain(input, init).then(() => new Promise(() => {}));
            if (request === "POST /api/chat/completions") return send(input, init);
        }
        const response = await plain(input, init);
        // The session is over: the page keeps a draft half a second after the last letter, and leaves the chat at once.
        if (response.status === 401) await pause(700);
        return response;
    };
})();
