import { useState } from "react";
import { creatorReplySchema, customerSchema, doneSchema } from "../../shared/economy-api.ts";
import { amountFault, textFault } from "../economy/faults.ts";
import { CommandForm, Field } from "../economy/form-parts.tsx";
import type { HubCalls } from "../economy/hub-calls.ts";
import { nanoOf } from "../economy/units.ts";
import { useCommand } from "../economy/use-command.ts";
import { Card } from "../ui/card.tsx";

/** Who may use this hub: customers with their keys, what they are given to begin with, and whose a creator's name is. */
export function PartiesView({ calls }: { calls: HubCalls }) {
  return (
    <>
      <NewCustomer calls={calls} />
      <Grant calls={calls} />
      <NameOfCreator calls={calls} />
    </>
  );
}

function NewCustomer({ calls }: { calls: HubCalls }) {
  const [name, setName] = useState("");
  const command = useCommand(
    (body: object, once) => calls.send(customerSchema, "POST", "/customers", body, once),
    () => setName(""),
  );
  return (
    <Card title="A new customer">
      <p className="muted small">
        Its API key opens the API and the portal. It is shown here once: hand it over before you leave this page.
      </p>
      <CommandForm
        label="A new customer"
        submit="Make a key"
        command={command}
        faults={{ name: textFault(name, "a name") }}
        done={
          command.data ? (
            <dl className="facts" data-testid="new-customer">
              <dt>Customer</dt>
              <dd className="mono wrap-anywhere">{command.data.customer}</dd>
              <dt>API key</dt>
              <dd className="mono wrap-anywhere">{command.data.key}</dd>
            </dl>
          ) : null
        }
        onSubmit={() => command.mutate({ name: name.trim() })}
      >
        <Field label="Name" name="name" value={name} onChange={setName} />
      </CommandForm>
    </Card>
  );
}

function Grant({ calls }: { calls: HubCalls }) {
  const [customer, setCustomer] = useState("");
  const [usdc, setUsdc] = useState("");
  const [dn, setDn] = useState("");
  const path = `/customers/${encodeURIComponent(customer.trim())}/grants`;
  const command = useCommand(
    (body: object, once) => calls.send(doneSchema, "POST", path, body, once),
    () => {
      setUsdc("");
      setDn("");
    },
  );
  const isNothing = usdc.trim() === "" && dn.trim() === "";
  const given = { ...(usdc.trim() && { usdc: nanoOf(usdc) }), ...(dn.trim() && { dn: nanoOf(dn) }) };
  return (
    <Card title="Grant">
      <p className="muted small">Test USDC is issued; DN comes from the treasury.</p>
      <CommandForm
        label="Grant"
        submit="Give it"
        command={command}
        faults={{
          customer: textFault(customer, "a customer, such as c_…"),
          usdc: usdc.trim() === "" ? null : amountFault(usdc),
          dn: dn.trim() === "" ? null : amountFault(dn),
        }}
        fault={isNothing ? "Expected an amount of USDC, of DN or of both, got neither." : null}
        done="Given."
        onSubmit={() => command.mutate(given)}
      >
        <Field label="Customer" name="customer" value={customer} onChange={setCustomer} description="c_…" />
        <Field label="Test USDC" name="usdc" unit="amount" value={usdc} onChange={setUsdc} numeric />
        <Field label="DN" name="dn" unit="amount" value={dn} onChange={setDn} numeric />
      </CommandForm>
    </Card>
  );
}

function NameOfCreator({ calls }: { calls: HubCalls }) {
  const [name, setName] = useState("");
  const [customer, setCustomer] = useState("");
  const command = useCommand(
    (body: object, once) => calls.send(creatorReplySchema, "POST", "/creators", body, once),
    () => setName(""),
  );
  return (
    <Card title="Whose a creator's name is">
      <p className="muted small">
        The manifest of a version names its creator; this customer collects the royalties of that name. Versions are
        minted with <code>npm run models -- add</code>, which sends the model's file.
      </p>
      <CommandForm
        label="Whose a creator's name is"
        submit="It is theirs"
        command={command}
        faults={{ name: textFault(name, "a creator's name"), customer: textFault(customer, "a customer, such as c_…") }}
        done={command.data ? `${command.data.name} is ${command.data.customer}.` : null}
        onSubmit={() => command.mutate({ name: name.trim(), customer: customer.trim() })}
      >
        <Field label="Creator's name" name="name" value={name} onChange={setName} />
        <Field label="Customer" name="customer" value={customer} onChange={setCustomer} description="c_…" />
      </CommandForm>
    </Card>
  );
}
