/** For a page that asks again whenever something happens: an answer that is overtaken by a newer one says nothing. */
export function newest(): <T>(ask: () => Promise<T>) => Promise<T | undefined> {
  let turn = 0;
  return async (ask) => {
    turn += 1;
    const mine = turn;
    const answer = await ask();
    return mine === turn ? answer : undefined;
  };
}
