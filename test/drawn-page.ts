import { createRequire } from 'node:module'
import sharp from 'sharp'

/** A page with these lines as a scanner would see it: a little askew, a little grey. PNG. */
export async function drawnPage(lines: string[]): Promise<Buffer> {
  const fontfile = createRequire(import.meta.url).resolve('dejavu-fonts-ttf/ttf/DejaVuSerif.ttf')
  const text = await sharp({
    text: {
      text: `<span foreground="#26241f">${lines.join('\n')}</span>`,
      rgba: true,
      font: 'DejaVu Serif',
      fontfile,
      dpi: 220,
      spacing: 18,
    },
  })
    .png()
    .toBuffer()
  const { width, height } = await sharp(text).metadata()
  const page = await sharp({
    create: { width: width + 240, height: height + 240, channels: 3, background: '#f2efe6' },
  })
    .composite([{ input: text, left: 120, top: 120 }])
    .png()
    .toBuffer()
  return sharp(page).rotate(0.6, { background: '#f2efe6' }).blur(0.5).greyscale().png().toBuffer()
}
