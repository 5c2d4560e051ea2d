/** What can go wrong between the UI and the server, in words a person can act on. */

interface ErrorBody {
  error?: { field?: string | null; value?: unknown; message?: string; remedy?: string | null };
}

/** The server answered, but not with what was asked. */
export class ApiError extends Error {
  readonly status: number;
  readonly field: string | null;
  readonly remedy: string | null;

  constructor(status: number, message: string, details: { field?: string | null; remedy?: string | null } = {}) {
    super(message);
    this.name = 'ApiError';
    this.status = status;
    this.field = details.field ?? null;
    this.remedy = details.remedy ?? null;
  }

  /** Out of a status and whatever body came with it. */
  static from(status: number, body: unknown): ApiError {
    const error = isErrorBody(body) ? body.error : undefined;
    return new ApiError(status, error?.message ?? `The server answered ${status}`, { field: error?.field ?? null, remedy: error?.remedy ?? null });
  }
}

const isErrorBody = (body: unknown): body is ErrorBody => typeof body === 'object' && body !== null && 'error' in body;

/** The server did not answer at all. */
export class NetworkError extends Error {
  constructor(cause: unknown) {
    super('The server does not answer', { cause });
    this.name = 'NetworkError';
  }
}
