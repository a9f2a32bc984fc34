import { once } from "node:events";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { expect, onTestFinished, test, vi } from "vitest";
import { ask } from "../../ops/http.ts";

test("a service that takes the connection and says nothing is given up in time, in words", async () => {
    const silent = createServer();
    await once(silent.listen(0, "127.0.0.1"), "listening");
    const original = AbortSignal.timeout.bind(AbortSignal);
    const timeout = vi.spyOn(AbortSignal, "timeout").mockImplementation(() => original(50));
    onTestFinished(() => {
        timeout.mockRestore();
        silent.close();
    });
    await expect(ask(`http://127.0.0.1:${(silent.address() as AddressInfo).port}/`)).rejects.toThrow(/doesn't answer \(no answer in time\)$/);
    expect(timeout).toHaveBeenCalledExactlyOnceWith(20_000);
});
