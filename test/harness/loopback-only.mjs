/**
 * Loaded into a check by NODE_OPTIONS: nothing that a test has made up is sent to a service of the internet. Questions to one go to
 * the stand-ins at SERVICES_URL, where there are any.
 */
const fetchAnything = globalThis.fetch;
const { SERVICES_URL } = process.env;

globalThis.fetch = (url, options) => {
    const { hostname, pathname, search } = new URL(url);
    if (hostname === "127.0.0.1") return fetchAnything(url, options);
    if (SERVICES_URL) return fetchAnything(`${SERVICES_URL}/${hostname}${pathname}${search}`, options);
    return Promise.reject(new TypeError("fetch failed", { cause: Object.assign(new Error(hostname), { code: "ENOTFOUND" }) }));
};
