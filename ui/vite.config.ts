/** Builds the web UI into the Python package, and serves it for development against a server or the fixture. */
import { fileURLToPath } from 'node:url';
import react from '@vitejs/plugin-react';
import { defineConfig } from 'vitest/config';
import { fixture } from './fixture/server.ts';

const server = process.env['OSMIA_SERVER'];

export default defineConfig({
  plugins: [react(), ...(server === undefined ? [fixture()] : [])],
  resolve: { alias: { '@': fileURLToPath(new URL('./src', import.meta.url)) } },
  server: { host: '127.0.0.1', ...(server === undefined ? {} : { proxy: { '/api': server } }) },
  build: {
    outDir: '../src/osmia/web',
    emptyOutDir: true,
    chunkSizeWarningLimit: 800,
  },
  test: {
    css: false,
    env: { DEBUG_PRINT_LIMIT: '1500' },
    projects: [
      { extends: true, test: { name: 'domain', environment: 'node', include: ['src/domain/**/*.test.ts'] } },
      { extends: true, test: { name: 'pages', environment: 'jsdom', include: ['src/{components,state,views}/**/*.test.{ts,tsx}'], setupFiles: ['src/testing/setup.ts'], testTimeout: 20_000 } },
    ],
    benchmark: { include: ['bench/**/*.bench.ts'] },
  },
});
