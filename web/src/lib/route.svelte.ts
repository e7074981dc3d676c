// Which page is shown: the path of the address.

export const route = $state({ path: location.pathname });

/** Shows another page. */
export function go(path: string) {
  history.pushState(null, "", path);
  route.path = path;
  window.scrollTo(0, 0);
}

addEventListener("popstate", () => {
  route.path = location.pathname;
});

/** For links: shows the page without loading anything, unless the browser shall open it elsewhere. */
export function follow(event: MouseEvent) {
  if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey) return;
  const link = (event.currentTarget as HTMLAnchorElement).getAttribute("href");
  if (!link) return;
  event.preventDefault();
  go(link);
}
