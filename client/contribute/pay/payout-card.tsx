import { Button } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { z } from "zod";
import { epochsSchema, payoutAddressReplySchema, payoutProofSchema } from "../../../shared/epoch-api.ts";
import type { OwnerId } from "../../../shared/ids.ts";
import { QueryState } from "../../console/query-state.tsx";
import { Choice, CommandForm, Field } from "../../economy/form-parts.tsx";
import { useCommand } from "../../economy/use-command.ts";
import { Card } from "../../ui/card.tsx";
import { EmptyState } from "../../ui/empty-state.tsx";
import { saveFile } from "../../ui/save-file.ts";
import { chainText } from "./chain-text.ts";
import type { OwnerCalls } from "./owner-calls.ts";

/** Where an owner's earnings are paid out to, and what each closed epoch promised that address. */
export function PayoutCard({ calls, owner }: { calls: OwnerCalls; owner: OwnerId }) {
  const account = `miner:${owner}`;
  const address = useQuery({
    queryKey: ["payout-address", account],
    queryFn: ({ signal }) => calls.get(payoutAddressReplySchema, `/payouts/address?account=${account}`, signal),
  });
  return (
    <Card title="Payouts">
      <QueryState what="payout address" query={address} />
      {address.data ? (
        <p className="small" data-testid="payout-address">
          {address.data.address === null ? (
            "No address yet: what matures stays in the hub's ledger."
          ) : (
            <>
              Paid out to <span className="mono wrap-anywhere">{address.data.address}</span> when an epoch closes.
            </>
          )}
        </p>
      ) : null}
      <AddressForm calls={calls} account={account} />
      <Proofs calls={calls} account={account} />
    </Card>
  );
}

/** A wallet in this browser (EIP-1193). */
interface Wallet {
  request(call: { method: string; params?: unknown[] }): Promise<unknown>;
}
const walletHere = (): Wallet | undefined => (globalThis as { ethereum?: Wallet }).ethereum;

const isAddress = (text: string): boolean => /^0x[0-9a-fA-F]{40}$/.test(text.trim());
const isProof = (text: string): boolean => /^0x[0-9a-fA-F]{130}$/.test(text.trim());

function AddressForm({ calls, account }: { calls: OwnerCalls; account: string }) {
  const [address, setAddress] = useState("");
  const [proof, setProof] = useState("");
  const [problem, setProblem] = useState<string | null>(null);
  const asked = useQuery({
    queryKey: ["payout-message", account, address.trim()],
    queryFn: ({ signal }) =>
      calls.get(payoutAddressReplySchema, `/payouts/address?account=${account}&address=${address.trim()}`, signal),
    enabled: isAddress(address),
  });
  const message = (isAddress(address) && asked.data?.message) || null;
  const command = useCommand(
    (fields: object, once) => calls.signed(payoutAddressReplySchema, "owner-request", "/payouts/address", fields, once),
    () => setProof(""),
  );
  const wallet = walletHere();
  const signHere = async () => {
    setProblem(null);
    try {
      const [own] = z.array(z.string()).parse(await wallet?.request({ method: "eth_requestAccounts" }));
      if (own === undefined) return setProblem("The wallet named no address.");
      setAddress(own);
      const { message: text } = await calls.get(
        payoutAddressReplySchema,
        `/payouts/address?account=${account}&address=${own}`,
      );
      setProof(z.string().parse(await wallet?.request({ method: "personal_sign", params: [text, own] })));
    } catch (error) {
      setProblem(`The wallet did not sign: ${error instanceof Error ? error.message : String(error)}`);
    }
  };
  return (
    <CommandForm
      label="Set the payout address"
      submit="Set the address"
      command={command}
      faults={{
        address: isAddress(address) ? null : `Expected 0x and 40 hexadecimal digits, got ${got(address)}.`,
        proof: isProof(proof) ? null : `Expected 0x and 130 hexadecimal digits, got ${got(proof)}.`,
      }}
      fault={problem}
      done="Set. What matures is paid out there from the next closing on."
      onSubmit={() => command.mutate({ action: "payout-address", address: address.trim(), proof: proof.trim() })}
    >
      <Field
        label="Address"
        name="address"
        value={address}
        onChange={setAddress}
        description="0x…, of an Ethereum-like chain"
        rows={1}
      />
      {wallet ? (
        <div>
          <Button size="xs" variant="default" onClick={() => void signHere()}>
            Sign with this browser's wallet
          </Button>
        </div>
      ) : null}
      {message === null ? null : (
        <p className="small wide">
          The address proves itself by signing this text (<code>personal_sign</code>):{" "}
          <code className="wrap-anywhere" data-testid="payout-message">
            {message}
          </code>
        </p>
      )}
      <Field label="Its signature" name="proof" value={proof} onChange={setProof} rows={2} />
    </CommandForm>
  );
}

const got = (text: string): string =>
  text.trim() === "" ? "nothing" : `“${text.trim().slice(0, 60)}” (${text.trim().length} characters)`;

function Proofs({ calls, account }: { calls: OwnerCalls; account: string }) {
  const epochs = useQuery({
    queryKey: ["epochs"],
    queryFn: ({ signal }) => calls.get(epochsSchema, "/epochs?limit=100", signal),
  });
  const closed = (epochs.data?.data ?? []).filter(({ state }) => state === "closed").map(({ epoch }) => String(epoch));
  const [chosen, setChosen] = useState<string | null>(null);
  const epoch = chosen ?? closed[0] ?? null;
  const proofs = useQuery({
    queryKey: ["proof", epoch, account],
    queryFn: ({ signal }) => calls.get(payoutProofSchema, `/epochs/${epoch}/proof/${account}`, signal),
    enabled: epoch !== null,
  });
  if (epochs.isSuccess && epoch === null) {
    return <EmptyState title="No epoch is closed yet">What a closing pays out to you is proved here.</EmptyState>;
  }
  const rows = proofs.data?.data ?? [];
  return (
    <section aria-label="Proofs">
      <QueryState what="epochs" query={epochs} />
      {epoch === null ? null : (
        <Choice
          label="Proof of epoch"
          value={epoch}
          options={closed.map((one) => ({ value: one, label: one }))}
          onChange={setChosen}
        />
      )}
      {epoch === null ? null : <QueryState what="proof" query={proofs} />}
      {proofs.isSuccess && rows.length === 0 ? (
        <EmptyState title="Nothing was paid out to you by this epoch">
          Payouts begin with the first closing after an address was set, where the hub pays out at all.
        </EmptyState>
      ) : null}
      {rows.map((row) => (
        <article className="item" key={row.asset} data-testid="proof">
          <p className="small">
            {chainText(row.cumulative, row.asset)} {row.asset} to{" "}
            <span className="mono wrap-anywhere">{row.address}</span> in all, {chainText(row.claimed, row.asset)} of it
            collected; {row.proof.length} {row.proof.length === 1 ? "hash leads" : "hashes lead"} to the root{" "}
            <span className="mono wrap-anywhere">{row.root}</span>.
          </p>
          <Button
            size="xs"
            variant="default"
            onClick={() =>
              saveFile(`proof-${epoch}-${row.asset}.json`, JSON.stringify(row, null, 2), "application/json")
            }
          >
            Save the proof
          </Button>
        </article>
      ))}
    </section>
  );
}
