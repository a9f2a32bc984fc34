/** A request that is answered with an error; the message goes into the body, as Render's do. */
export class Refusal extends Error {
    readonly status: number;

    constructor(status: number, message: string) {
        super(message);
        this.status = status;
    }
}

export const notFound = (id: string) => new Refusal(404, `not found: ${id}`);

/** For what the real API has and this one hasn't: not an answer that anything could take for Render's. */
export const notImplemented = (what: string) => new Refusal(501, `the stand-in of Render's API has no ${what}`);
