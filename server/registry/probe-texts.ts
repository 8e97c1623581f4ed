/** What known answers of text models are made of: their first tokens, which any tokenizer makes enough of. */
export const probeTexts = [
  "The hub asks the same question of two strangers and compares what they say.",
  "Good morrow, my lord; the day is young and the sea is calm.",
  "Wer zuletzt lacht, lacht am besten, sagt ein altes Sprichwort.",
  "In 2026 there were 41 ships in the harbour, and 7 of them were red.",
  "La lluvia en Sevilla es una maravilla, dicen los que viven allí.",
  "She opened the letter, read it twice, and put it back into the drawer.",
  "Le chat dort sur la chaise pendant que la pluie tombe dehors.",
  "Water boils at a lower temperature on a high mountain than at sea.",
] as const;
