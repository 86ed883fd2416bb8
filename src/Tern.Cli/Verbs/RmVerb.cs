using System.CommandLine;
using System.Globalization;
using Tern.Cli.Input;
using Tern.Cli.Options;
using Tern.Cli.Terminal;
using Tern.Hub;

namespace Tern.Cli.Verbs;

/// <summary><c>tern rm</c>: models out of the store, and what unfinished work left there.</summary>
internal static class RmVerb
{
    public static Command Create(Interrupt interrupt)
    {
        var names = new Argument<string[]>("NAME") { Description = "Models of 'tern list'.", Arity = ArgumentArity.ZeroOrMore };
        Option<bool> partial = OptionOf.Flag("--partial", "Delete what no model names: unfinished downloads and the like.");
        var command = new Command("rm", "Remove models from the store.") { names, partial };
        command.SetAction(result =>
        {
            string[] given = result.GetValue(names) ?? [];
            if (given.Length == 0 && !result.GetValue(partial))
                throw new UsageException("nothing to remove: give names of models, or --partial");

            ModelStore store = StoreInput.Open();
            List<Manifest> models = [.. given.Select(n => Whole(store, n)).DistinctBy(m => m.Name)];
            foreach (Manifest model in models)
            {
                if (!StoreLeftovers.DeleteModel(store, model, interrupt.Token))
                    Messages.Warning($"{model.Name}: another process brings a model in, so the files stay for now; 'tern rm --partial' deletes them later");
                Console.Out.WriteLine($"removed {model.Name} ({Sizes.Text(model.Bytes)})");
            }

            if (result.GetValue(partial))
            {
                IReadOnlyList<Leftover> gone = StoreLeftovers.Delete(store, Messages.Warning, interrupt.Token)
                    ?? throw new TernException(ErrorKind.Request, "another process brings a model in and needs its unfinished files; try again when it is done");
                Console.Out.WriteLine(string.Create(CultureInfo.InvariantCulture, $"removed {gone.Count} leftovers ({Sizes.Text(gone.Sum(l => l.Bytes))})"));
            }

            return ExitCode.Success;
        });
        return command;
    }

    private static Manifest Whole(ModelStore store, string name)
    {
        StoredModel model = StoreInput.Find(store, name);
        return model.File == model.Manifest.Main
            ? model.Manifest
            : throw new TernException(ErrorKind.Request, $"{name}: is one file of {model.Manifest.Name}; remove that");
    }
}
