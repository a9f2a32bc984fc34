import { expect, test } from "vitest";
import { pinned, previous, type Versions } from "../upgrade/versions";

test.for(Object.entries(previous))("the upgrade of %s from %s is to a newer version", ([name, version]) => {
    const to = pinned[name as keyof Versions];
    expect(version.localeCompare(to, "en", { numeric: true }), `test/upgrade/previous.json, beside ${to}`).toBe(-1);
});
