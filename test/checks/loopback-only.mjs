/** Loaded into a check by NODE_OPTIONS: nothing that a test has made up is sent to a service of the internet. */
const fetchAnything = globalThis.fetch;

globalThis.fetch = (url, options) => {
    const { hostname } = new URL(url);
    if (hostname === "127.0.0.1") return fetchAnything(url, options);
    return Promise.reject(new TypeError("fetch failed", { cause: Object.assign(new Error(hostname), { code: "ENOTFOUND" }) }));
};
