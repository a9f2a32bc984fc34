/** What `npm run restore` makes of the lists of both services. */
import { expect, test } from "vitest";
import { changesOf, momentsOf } from "../../ops/restore.ts";

const backups = (...times: number[]) => ({ backups: times.map((at) => ({ id: String(at), at, bytes: 1 })) });
const pairs = (...lists: { backups: { id: string; at: number; bytes: number }[] }[]) =>
    momentsOf(lists).map(({ at, backups: of }) => [at, ...of.map((each) => each.at)]);

test("a moment has of each service the newest backup that isn't younger, and none is offered that one of them doesn't reach", () => {
    expect(pairs(backups(1, 20, 40), backups(10, 30))).toEqual([
        [40, 40, 30],
        [30, 20, 30],
        [20, 20, 10],
        [10, 1, 10],
    ]);
    expect(pairs(backups(5, 9), backups(5))).toEqual([
        [9, 9, 5],
        [5, 5, 5],
    ]);
    expect(pairs(backups(1), backups())).toEqual([]);
});

test("what changes is said in words of people's where there are any, and a name with control characters as it is safe to print", () => {
    const none = { goes: 0, returns: 0, changes: 0 };
    const said = changesOf({ "webui.db": { ...none, changes: 1 }, uploads: { goes: 2, returns: 1, changes: 0 }, "a\u001B[2Jb": { ...none, goes: 1 } });
    expect(said).toBe("accounts and chats; uploads (2 go, 1 come back); a?[2Jb (1 go)");
    expect(changesOf({})).toBe("nothing");
});
