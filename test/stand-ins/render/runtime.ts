/** What Render's API has others do: look into a registry, and run what was declared. */

export interface ImageSource {
    /** Repository and digest, `ghcr.io/octo-cat/hermes@sha256:…`. */
    reference: string;
    credential?: { username: string; authToken: string };
}

/** A service as it stood when its deploy was asked for. */
export interface Release {
    serviceId: string;
    /** Host name on the private network. */
    slug: string;
    image: ImageSource;
    environment: Record<string, string>;
    /** Stays the same disk, with its data, from one release to the next. */
    disk?: { id: string; mountPath: string; sizeGB: number };
    plan: string;
    region: string;
    /** Seconds between SIGTERM and SIGKILL. */
    maxShutdownDelaySeconds: number;
}

/** For one service only one of the last four runs at a time. */
export interface Runtime {
    /** Whether the registry gives out this image to the holder of this credential. */
    has: (image: ImageSource) => Promise<boolean>;
    /** Fetches an image; a rejection makes the deploy `build_failed`. */
    pull: (image: ImageSource) => Promise<void>;
    /**
     * Starts a release, after it has stopped the one before it: a disk has one user. Resolves when it listens on a
     * port; a rejection makes the deploy `update_failed`. The signal comes when the service is deleted meanwhile.
     */
    start: (release: Release, signal: AbortSignal) => Promise<void>;
    /** Stops a service and removes it; its disk stays. Nothing happens when it never started. */
    remove: (serviceId: string) => Promise<void>;
    /** Removes a disk with its data, after the service that had it; nothing happens when it was never used. */
    removeDisk: (diskId: string) => Promise<void>;
}
