// English and German. German has the type of English, so that a missing sentence does not build.

import { de } from "../messages/de";
import { en, enProblems } from "../messages/en";
import { deProblems } from "../messages/problems.de";
import type { Problem } from "./api";

export type Language = "en" | "de";
export const LANGUAGES: Language[] = ["en", "de"];

const STORED = "punktfunk-language";

function preferred(): Language {
  const stored = localStorage.getItem(STORED);
  if (stored === "en" || stored === "de") return stored;
  return navigator.language.toLowerCase().startsWith("de") ? "de" : "en";
}

export const text = $state({
  language: preferred(),

  choose(language: Language) {
    text.language = language;
    localStorage.setItem(STORED, language);
    document.documentElement.lang = language;
  },

  /** A refusal in the reader's language, where there is a translation. */
  problem(problem: Problem): { message: string; fix: string } {
    const known = (text.language === "de" ? deProblems : enProblems)[problem.code];
    return known ? { message: known[0], fix: known[1] } : { message: problem.message, fix: problem.fix };
  },
});

document.documentElement.lang = text.language;

/** The sentences of the reader's language. */
export function t() {
  return text.language === "de" ? de : en;
}
