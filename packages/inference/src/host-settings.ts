/** Where a host is and how it is spoken to, with the values of its variables. */
export interface HostSettings {
  /** What its breaker knows it by. */
  name: string
  baseUrl: string
  apiKey?: string | undefined
  /** What it calls the model. */
  model: string
}
