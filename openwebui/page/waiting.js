/*
 * Tells an admin of accounts that wait for approval, and lets somebody who waits in as soon as that has come.
 *
 * Open WebUI 0.12.4 shows the first in its list of accounts alone, and the second after a press of “Check Again”.
 */
(() => {
    /** Between two looks, in ms. */
    const [ADMINS, OWN] = [60_000, 5000];
    const asked = async (path) => (await fetch(path, { headers: { Authorization: `Bearer ${window.person.token}` } })).json();

    const mark = document.createElement("a");
    mark.id = "waiting";
    mark.href = "/admin/users";
    const look = async () => {
        const { users } = await asked("/api/v1/users/all");
        const count = users.filter(({ role }) => role === "pending").length;
        mark.textContent = window.say("waiting", { count });
        if (count) document.body.append(mark);
        else mark.remove();
    };
    const wait = async () => {
        if ((await asked("/api/v1/auths/")).role !== "pending") location.assign("/");
    };

    let looking;
    const begin = () => {
        clearInterval(looking);
        mark.remove();
        const [task, every] = { admin: [look, ADMINS], pending: [wait, OWN] }[window.person.role] ?? [];
        if (!task) return;
        // Whatever keeps it from being known is over at one of the next looks.
        const once = () => document.visibilityState === "visible" && task().catch(() => undefined);
        looking = setInterval(once, every);
        if (task === look) once();
    };
    addEventListener("person", begin);
    if (window.person) begin();
})();
