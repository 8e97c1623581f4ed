// Inputs of the known answers of langid: eight sentences of our own.
import { tensorOf } from "../../shared/tensor.ts";
import { encodeText, inputBytes } from "./encode.mjs";

export const sentences = [
  "Every open tab does a little of the work, and somebody else checks it.",
  "Jeder offene Tab rechnet ein wenig mit, und ein anderer prüft das Ergebnis.",
  "Chaque onglet ouvert fait un peu du travail, et un autre le vérifie.",
  "Her açık sekme işin biraz yapar, başka biri de onu denetler.",
  "Каждая открытая вкладка считает немного, а другая проверяет результат.",
  "كل نافذة مفتوحة تقوم بجزء صغير من العمل",
  "開いているタブが少しずつ計算し、別のタブが確かめます。",
  "Ogni scheda aperta fa un po' di lavoro, e qualcun altro lo controlla.",
];

/** @returns one list of tensors per vector */
export function goldenInputs() {
  return sentences.map((text) => [
    tensorOf("input_ids", "int64", [1, inputBytes], BigInt64Array.from(encodeText(text))),
  ]);
}
