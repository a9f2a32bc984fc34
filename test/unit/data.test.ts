import { describe, expect, test } from "vitest";
import { diskRefusal, moveRefusal } from "../../data.ts";

describe("services that stand elsewhere than the settings say", () => {
    test("aren't moved, and the sentence says where they stand, what would be lost and which setting allows it", () => {
        const said = moveRefusal({ "hermes-dev": "oregon", "open-webui-dev": "oregon" }, "frankfurt");
        expect(said).toMatch(
            /^renderRegion is frankfurt, but hermes-dev and open-webui-dev stand in oregon: .*deletes their disks, .*back to oregon.*`pulumi config set replaceData frankfurt`\.$/,
        );
    });

    test("are told apart from those that do stand there", () => {
        expect(moveRefusal({ "hermes-dev": "frankfurt", "open-webui-dev": "oregon" }, "frankfurt")).toMatch(/but open-webui-dev stands in oregon/);
    });

    test("are fine where they are to be", () => {
        expect(moveRefusal({ "hermes-dev": "frankfurt", "open-webui-dev": "frankfurt" }, "frankfurt")).toBeUndefined();
    });
});

describe("an update", () => {
    test.for([
        ["hermes", "hermesDiskGb"],
        ["open-webui", "webuiDiskGb"],
    ])("that makes the disk of %s smaller is refused by its setting", ([name, setting]) => {
        expect(diskRefusal(name, { disk: { sizeGb: 10 } }, { disk: { sizeGb: 5 } })).toMatch(
            new RegExp(`^${setting} is 5, but the disk has 10 GB .*\`pulumi config set ${setting} 10\`\\.$`),
        );
    });

    test("that drops the disk is refused", () => {
        expect(diskRefusal("hermes", { disk: { sizeGb: 10 } }, {})).toMatch(/^hermes's disk .*would be deleted/);
    });

    test.for([5, 6])("to %i GB of 5 is fine, and so is a first disk", (sizeGb) => {
        expect(diskRefusal("hermes", { disk: { sizeGb: 5 } }, { disk: { sizeGb } })).toBeUndefined();
        expect(diskRefusal("hermes", {}, { disk: { sizeGb } })).toBeUndefined();
    });
});
