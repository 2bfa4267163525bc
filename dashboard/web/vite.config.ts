import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig } from 'vite';

// The names of the built files do not change, so that a change of the sources
// is a change of the same files; the server tells whether they are new (ETag).
export default defineConfig({
  plugins: [svelte({ compilerOptions: { runes: true } })],
  base: './',
  build: {
    outDir: process.env.DASHBOARD_OUT ?? '../dist',
    emptyOutDir: true,
    target: 'es2022',
    sourcemap: false,
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    chunkSizeWarningLimit: 900,
    rollupOptions: {
      output: { entryFileNames: 'app.js', chunkFileNames: '[name].js', assetFileNames: '[name][extname]' },
    },
  },
  server: { proxy: { '/api': 'http://127.0.0.1:8070' } },
});
