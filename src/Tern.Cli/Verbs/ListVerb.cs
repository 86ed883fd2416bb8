using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using Tern.Cli.Input;
using Tern.Cli.Options;
using Tern.Cli.Terminal;
using Tern.Hub;

namespace Tern.Cli.Verbs;

/// <summary><c>tern list</c>: the models of the store, those with short names that could be pulled, or what unfinished work left behind.</summary>
internal static class ListVerb
{
    public static Command Create(Interrupt interrupt)
    {
        Option<bool> json = OptionOf.Flag("--json", "Write one JSON document.");
        Option<bool> available = OptionOf.Flag("--available", "Show the models that have short names and can be pulled.");
        Option<bool> partial = OptionOf.Flag("--partial", "Show what no model names: unfinished downloads and the like ('tern rm --partial' deletes it).");
        var command = new Command("list", "Show the models in the store.") { json, available, partial };
        command.SetAction(result =>
        {
            bool asJson = result.GetValue(json);
            if (result.GetValue(available) && result.GetValue(partial))
                throw new UsageException("--available and --partial are two lists: give one of them");
            if (result.GetValue(available))
                Available(asJson);
            else if (result.GetValue(partial))
                Partial(StoreLeftovers.Find(StoreInput.Open(), Messages.Warning), asJson);
            else
                Stored(StoreInput.Open(), asJson);
            interrupt.Token.ThrowIfCancellationRequested();
            return ExitCode.Success;
        });
        return command;
    }

    private static void Stored(ModelStore store, bool asJson)
    {
        IReadOnlyList<Manifest> models = store.List(Messages.Warning);
        if (asJson)
        {
            WriteArray(models, (json, model) =>
            {
                json.WriteString("name", StoreInput.ShortName(model));
                json.WriteString("model", model.Name.ToString());
                json.WriteString("type", model.Type);
                json.WriteNumber("bytes", model.Bytes);
                json.WriteString("created", model.Created);
                json.WriteString("source", model.Source);
                json.WriteString("commit", model.Commit);
                json.WriteString("licence", model.Licence);
            });
            return;
        }

        var grid = new Grid("NAME", "TYPE", "CREATED", "SOURCE", "SIZE") { NumbersFrom = 4 };
        foreach (Manifest model in models)
            grid.Add(StoreInput.ShortName(model), model.Type, Day(model.Created), Source(model), Sizes.Text(model.Bytes));
        if (models.Count > 0)
            grid.Write();
        else
            Screen.Note("no models yet; 'tern list --available' shows some, 'tern pull NAME' downloads one");
    }

    private static void Available(bool asJson)
    {
        if (asJson)
        {
            WriteArray(Catalog.All, (json, entry) =>
            {
                json.WriteString("name", entry.Name);
                json.WriteString("title", entry.Title);
                json.WriteString("repository", entry.Repository);
                json.WriteString("file", entry.IsDirectory ? "directory" : entry.File);
                if (entry.Bytes is { } bytes)
                    json.WriteNumber("bytes", bytes);
                else
                    json.WriteNull("bytes");
                json.WriteString("licence", entry.Licence);
                json.WriteString("parameters", entry.Parameters);
                json.WriteString("note", entry.Note);
            });
            return;
        }

        var grid = new Grid("NAME", "PARAMETERS", "SIZE", "LICENCE", "REPOSITORY", "NOTE");
        foreach (CatalogEntry entry in Catalog.All)
            grid.Add(entry.Name, entry.Parameters, entry.Bytes is { } bytes ? Sizes.Text(bytes) : "?", entry.Licence, entry.Repository, entry.Note);
        grid.Write();
    }

    private static void Partial(IReadOnlyList<Leftover> leftovers, bool asJson)
    {
        if (asJson)
        {
            WriteArray(leftovers, (json, leftover) =>
            {
                json.WriteString("path", leftover.Path);
                json.WriteString("what", leftover.What);
                json.WriteNumber("bytes", leftover.Bytes);
                json.WriteString("changed", leftover.Changed);
            });
            return;
        }

        var grid = new Grid("FILE", "WHAT", "CHANGED", "SIZE") { NumbersFrom = 3 };
        foreach (Leftover leftover in leftovers)
            grid.Add(Path.GetFileName(leftover.Path), leftover.What, Day(leftover.Changed), Sizes.Text(leftover.Bytes));
        if (leftovers.Count > 0)
            grid.Write();
    }

    private static void WriteArray<T>(IEnumerable<T> items, Action<Utf8JsonWriter, T> write)
    {
        using var output = new JsonOutput(indented: true);
        output.Writer.WriteStartArray();
        foreach (T item in items)
        {
            output.Writer.WriteStartObject();
            write(output.Writer, item);
            output.Writer.WriteEndObject();
        }

        output.Writer.WriteEndArray();
        output.EndLine();
    }

    private static string Source(Manifest model) => model.Commit is { } commit ? $"{model.Source}@{commit[..7]}" : model.Source;

    private static string Day(DateTimeOffset time) => time.ToLocalTime().ToString("yyyy-MM-dd HH:mm", CultureInfo.InvariantCulture);
}
