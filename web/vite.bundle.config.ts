import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig, type Plugin } from 'vite';

// The page of a bundle (`motif export --format bundle`): one file that a browser opens from disk. Module scripts do not
// load from file://, so the script is a plain one inside the page. The command line puts the data where the marks stand.

/** Script and styles in one page, under a policy that lets nothing else run and nothing be fetched. */
function singleFile(): Plugin {
  return {
    name: 'motif-single-file',
    enforce: 'post',
    generateBundle(_options, bundle) {
      let script = '';
      let style = '';
      for (const [name, output] of Object.entries(bundle)) {
        if (output.type === 'chunk') script += output.code;
        else if (name.endsWith('.css')) style += String(output.source);
        else this.error(`${name} has no place within the page`);
        delete bundle[name];
      }
      // What would end the script, or make the parser look for another one's end.
      const code = `\n${script.replaceAll('</script', '<\\/script').replaceAll('<!--', '<\\!--')}\n`;
      const hash = createHash('sha256').update(code).digest('base64');
      this.emitFile({ type: 'asset', fileName: 'index.html', source: page(code, style.replaceAll('</style', '<\\/style'), hash) });
    },
  };
}

function page(script: string, style: string, hash: string): string {
  const icon = encodeURIComponent(readFileSync(new URL('./public/favicon.svg', import.meta.url), 'utf8').trim());
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; base-uri 'none'; form-action 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-${hash}'">
<link rel="icon" href="data:image/svg+xml,${icon}">
<title><!--motif:title--></title>
<style>${style}</style>
</head>
<body>
<div id="app"></div>
<noscript><main class="static"><!--motif:static--></main></noscript>
<!--motif:data-->
<script>${script}</script>
</body>
</html>
`;
}

export default defineConfig({
  base: './',
  publicDir: false,
  // Vite's helper for imports asks where its module lies, which a plain script cannot tell and does not need.
  define: { 'import.meta.resolve': 'undefined', 'import.meta.url': '""' },
  plugins: [svelte(), singleFile()],
  build: {
    target: 'es2022',
    outDir: 'dist/bundle',
    modulePreload: false,
    cssCodeSplit: false,
    assetsInlineLimit: Number.MAX_SAFE_INTEGER,
    rolldownOptions: { input: 'src/bundle/main.ts', output: { format: 'iife', codeSplitting: false } },
  },
});
