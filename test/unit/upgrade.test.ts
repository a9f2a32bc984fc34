import { expect, test } from "vitest";
import { pinned, previous, type Versions } from "../harness/versions.ts";

const names = Object.keys(pinned) as (keyof Versions)[];
const older = names.filter((name) => previous[name].localeCompare(pinned[name], "en", { numeric: true }) < 0);

test("the upgrade that is tried is one", () => {
    expect(older).not.toEqual([]);
});

test("and nothing in it goes back", () => {
    expect(names.filter((name) => !older.includes(name) && previous[name] !== pinned[name])).toEqual([]);
});
