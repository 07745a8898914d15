import type { Prediction } from '@millrace/contract/prediction'
import { inferenceRunOf } from '@millrace/inference/inference-run'

/** A finished prediction's result in the shape of its model's type: images, video, audio, or `output` for the rest. */
export function resultOf({ model, output, metadata }: Prediction): Record<string, unknown> {
  if (inferenceRunOf(metadata.tags) === 'run') return output as Record<string, unknown>
  const urls = Array.isArray(output) ? output : [output]
  switch (model.type) {
    case 'image':
      return { data: urls.map((url) => ({ url })) }
    case 'video':
      return { video_url: urls[0] ?? null }
    case 'audio':
    case 'music':
      return { audio_url: urls[0] ?? null }
    default:
      return { output }
  }
}
