// A tar.gz of some files of text.

/** archive packs files by their names. */
export async function archive(files: Record<string, string>): Promise<Blob> {
  const parts: BlobPart[] = [];
  for (const [name, text] of Object.entries(files)) {
    const data = new TextEncoder().encode(text);
    parts.push(header(name, data.length), data, new Uint8Array((512 - (data.length % 512)) % 512));
  }
  parts.push(new Uint8Array(1024));
  return new Response(new Blob(parts).stream().pipeThrough(new CompressionStream('gzip'))).blob();
}

/** header is that of a file, as ustar has it. */
export function header(name: string, size: number): Uint8Array<ArrayBuffer> {
  const h = new Uint8Array(512);
  const put = (at: number, text: string, most: number) => {
    const b = new TextEncoder().encode(text);
    if (b.length > most) throw new Error(`${name} is too long for a name`);
    h.set(b, at);
  };
  const octal = (v: number, digits: number) => v.toString(8).padStart(digits, '0') + '\0';
  put(0, name, 100);
  put(100, octal(name.endsWith('.sh') ? 0o755 : 0o644, 7), 8);
  put(108, octal(0, 7), 8);
  put(116, octal(0, 7), 8);
  put(124, octal(size, 11), 12);
  put(136, octal(0, 11), 12);
  put(148, ' '.repeat(8), 8);
  put(156, '0', 1);
  put(257, 'ustar\0' + '00', 8);
  put(148, octal(h.reduce((a, b) => a + b, 0), 6) + ' ', 8);
  return h;
}
