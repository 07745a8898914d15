import type { Catalogue, CatalogueOptions } from './assemble-catalogue.ts'
import { createCatalogueReader } from './catalogue-reader.ts'

/** Reads every model of some folders once. A file that cannot be a model is a problem and stops no other. */
export async function loadCatalogue(options: CatalogueOptions): Promise<Catalogue> {
  const reader = createCatalogueReader(options)
  await reader.look()
  return reader.catalogue()
}
