import { join } from 'node:path'
import { defineModel } from '@millrace/models/define-model'
import { fileInput, fileOutput } from '@millrace/models/schema'
import sharp from 'sharp'
import { z } from 'zod'

/** 16384 x 4096, or 8192 x 8192. A larger picture would take gigabytes while it is made. */
const MAX_PIXELS = 64 * 1024 * 1024

export default defineModel({
  namespace: 'upscale',
  name: 'Upscale',
  type: 'image',
  description:
    'Makes a picture two to four times larger by Lanczos resampling. Sharp edges, no invented detail: not an AI model.',
  capabilities: ['image-to-image'],
  input: z.object({
    image: fileInput('The picture: PNG, JPEG, WebP, AVIF, GIF or TIFF'),
    scale: z.number().min(2).max(4).default(2).describe('How many times wider and higher the result is'),
  }),
  output: z.array(fileOutput('The larger picture')),
  async run({ image, scale }, { workDir, file, progress, log }) {
    const { autoOrient, format, hasAlpha } = await sharp(image).metadata().catch(notAPicture)
    const { width, height } = autoOrient
    const size = { width: Math.round(width * scale), height: Math.round(height * scale) }
    if (size.width * size.height > MAX_PIXELS || Math.max(size.width, size.height) > 16_383) {
      throw new Error(
        `The result would be ${size.width} x ${size.height} pixels; at most ${MAX_PIXELS} and 16383 a side`,
      )
    }
    progress(10)
    log(`${width} x ${height} to ${size.width} x ${size.height}`)
    const jpeg = format === 'jpeg' && !hasAlpha
    const name = jpeg ? 'upscaled.jpg' : 'upscaled.png'
    const larger = sharp(image)
      .rotate()
      .resize({ ...size, fit: 'fill', kernel: 'lanczos3' })
    const path = join(workDir, name)
    await (jpeg ? larger.jpeg({ quality: 92 }) : larger.png()).toFile(path)
    return [await file(path, { name, contentType: jpeg ? 'image/jpeg' : 'image/png' })]
  },
})

function notAPicture(): never {
  throw new Error('image is not a picture that can be read')
}
