// Saves what the browser holds as a file.

/** Hands bytes to the browser's download. */
export function save(blob: Blob, name: string): void {
  const url = URL.createObjectURL(blob);
  const link = document.createElement('a');
  link.href = url;
  link.download = name;
  document.body.append(link);
  link.click();
  link.remove();
  // The download may begin after this turn.
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

/** A file name of a sweep's name: letters, digits, dash and dot. */
export function fileName(name: string, extension: string): string {
  const safe = name.replace(/[^\p{L}\p{N}.-]+/gu, '-').replace(/^[-.]+|-+$/g, '');
  return `${safe || 'sweep'}.${extension}`;
}

/** Puts text on the clipboard; false when the browser does not allow it. */
export async function copy(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copyBySelection(text);
  }
}

/** The clipboard's interface exists only on secure origins; a server in a lab is often plain HTTP. */
function copyBySelection(text: string): boolean {
  const area = document.createElement('textarea');
  area.value = text;
  area.style.position = 'fixed';
  area.style.opacity = '0';
  document.body.append(area);
  area.select();
  try {
    return document.execCommand('copy');
  } catch {
    return false;
  } finally {
    area.remove();
  }
}
