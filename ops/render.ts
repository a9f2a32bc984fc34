/** Questions to Render's API, at the address that its provider takes from RENDER_HOST, too. */
import { type Answer, ask } from "./http.ts";

const base = () => process.env.RENDER_HOST ?? "https://api.render.com/v1";

/** Rejects with `Unchecked` when Render can't be reached. */
export const askRender = (apiKey: string, path: string): Promise<Answer> => ask(`${base()}${path}`, { bearer: apiKey });
