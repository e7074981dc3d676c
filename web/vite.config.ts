import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vite";

export default defineConfig({
  plugins: [svelte()],
  build: {
    // Chromium 111, Firefox 115, Safari 16.4: what Debian 12 and a phone of 2022 have.
    target: ["chrome111", "firefox115", "safari16.4"],
    modulePreload: { polyfill: false },
    // The policy lets nothing inline through.
    assetsInlineLimit: 0,
    cssCodeSplit: false,
  },
});
