/** What restic keeps of a repository's own, made by hand: for tests in which a bucket is played. */
import { createCipheriv, randomBytes, scryptSync } from "node:crypto";

/** Seals a text as restic does. */
function sealed(text: string, key: Buffer): Buffer {
    const iv = randomBytes(16);
    const cipher = createCipheriv("aes-256-ctr", key, iv);
    return Buffer.concat([iv, cipher.update(text), Buffer.alloc(16)]);
}

/** The key file and the configuration of a repository with this password and id. */
export function repositoryWith(password: string, id: string): { key: string; config: Buffer } {
    const [salt, master] = [randomBytes(64), randomBytes(32)];
    const secret = scryptSync(password, salt, 64, { N: 1024, r: 8, p: 1 }).subarray(0, 32);
    const data = sealed(JSON.stringify({ mac: {}, encrypt: master.toString("base64") }), secret).toString("base64");
    return {
        key: JSON.stringify({ kdf: "scrypt", N: 1024, r: 8, p: 1, salt: salt.toString("base64"), data }),
        config: sealed(JSON.stringify({ version: 2, id }), master),
    };
}
